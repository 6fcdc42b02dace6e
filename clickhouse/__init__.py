"""How every part reaches ClickHouse: the client, and the bodies of its inserts."""
