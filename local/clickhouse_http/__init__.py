"""An embedded ClickHouse: the real engine (chdb) behind ClickHouse's HTTP interface, for the local stack and for tests.

    server.py            run(): one directory, one process, one port
    http_interface.py    one HTTP request: who asks, what is asked, what is answered
    caller.py            no web page, no foreign name
    form_limits.py       a server's limits of URLs and forms
    call.py              one request, understood
    request_body.py      the body, read whole, decompressed, and bounded
    insert_statement.py  where an INSERT ends and its data begins
    sql_text.py          what a statement does, told from its text: routing
    statement_tree.py    what a statement is, as the engine's parser reads it
    permission.py        whether its tree is allowed, part by part
    permitted_parts.py   the lists of statements and of their parts
    permitted_names.py   the lists of functions, tables, engines
    permitted_settings.py  the settings that a request may change
    answers.py           results: streamed block by block, or whole
    engine.py            the pool of connections, sessions, KILL
    connection.py        one chdb connection: blocking calls
    wire_format.py       encodings, content types, the exception block
    clickhouse_error.py  a ClickHouse exception: code, HTTP status, wording

Promises: an INSERT is answered 200 only after the engine has finished it, with the rows written in its summary, and
survives kill -9 of this process from then on, a power cut only with fsync_after_insert (docs/durability.md). A
client's query_id is seen by system.processes and KILL QUERY, and runs once at a time. No setting of one request is seen
by the next. When a client goes away, its query is stopped. Nobody reaches a file, an address or the inside of the
server by a statement, the user who owns the data included: what the engine's own parser finds in a statement is allowed
by list, or refused before anything runs. No web page reaches this server, whatever name it asks for it by.

Does NOT do: external tables, native block compression (compress=1), progress headers, quotas, roles, system.query_log;
statements that are not UTF-8 (data may be anything); more than one statement in a request; expressions in VALUES of
more than 128 KiB; statements of which the parser makes no tree, but for the common ones about one table. The query_id
travels in log_comment, so a client's own log_comment is dropped, and error texts do not show the id. `default` owns the
data: it may change and drop every table. `reader` changes nothing; the engine itself holds it to that, too
(readonly = 1). Both may use up the machine. A setting made with SET in a session goes back to its default once a
request of the session has overridden it by URL.
"""
