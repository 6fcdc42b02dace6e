"""From records of trace-summaries to rows of trace_summaries."""
