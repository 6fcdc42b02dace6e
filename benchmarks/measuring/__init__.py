"""What every benchmark shares: servers, the events, subjects in processes of their own, and the table of results."""
