from typing import Any

class GroupCoordinator:
    _do_heartbeat: Any
    _do_rejoin_group: Any
    _heartbeat_routine: Any
    _send_req: Any
    ensure_coordinator_known: Any
    fetch_committed_offsets: Any
    reset_generation: Any
