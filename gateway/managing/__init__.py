"""The routes with which apps, channels and webhook endpoints are managed."""
