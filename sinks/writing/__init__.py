"""One INSERT at a time into ClickHouse, and what is known of it afterwards."""
