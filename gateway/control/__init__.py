"""Control data: keys, apps, channels and webhook endpoints, kept on a compacted topic that every gateway reads."""
