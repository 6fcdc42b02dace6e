"""An embedded ClickHouse: the real engine (chdb) behind ClickHouse's HTTP interface, for the local stack and for tests.

    server.py            run(): one directory, one process, one port
    http_interface.py    one HTTP request: who asks, what is asked, what is answered
    request_body.py      the body, read whole, decompressed, and bounded
    insert_statement.py  where an INSERT ends and its data begins
    sql_text.py          what a statement does, told from its text
    answers.py           results: streamed block by block, or whole
    engine.py            the pool of connections, sessions, KILL
    connection.py        one chdb connection: blocking calls
    wire_format.py       encodings, content types, the exception block
    clickhouse_error.py  a ClickHouse exception: code, HTTP status, wording

Promises: an INSERT is answered 200 only after the engine has finished it, with the rows written in its summary, and
survives kill -9 of this process from then on (not a power cut: the engine does not fsync). A client's query_id is seen
by system.processes and KILL QUERY. No setting of one request is seen by the next. When a client goes away, its query is
stopped.

Does NOT do: external tables, native block compression (compress=1), progress headers, quotas, roles, system.query_log;
statements that are not UTF-8 (data may be anything); more than one statement in a request. The query_id travels in
log_comment, so a client's own log_comment is dropped, and error texts do not show the id. `default` owns the
data and may read whatever this process may; `reader` is held to the tables by the engine, but may ask of a path whether
it exists, and may use up the machine. A setting made with SET in a session
goes back to its default once a request of the session has overridden it by URL.
"""
