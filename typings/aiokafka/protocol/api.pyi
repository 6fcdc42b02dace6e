from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")

class Response:
    API_KEY: Any
    API_VERSION: Any
    SCHEMA: Any
    def __getattr__(self, name: str) -> Any: ...

class RequestStruct:
    API_KEY: Any
    API_VERSION: Any
    RESPONSE_TYPE: Any
    SCHEMA: Any
    def __init__(self, *fields: Any, **named: Any) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

class Request(Generic[T]):
    API_KEY: ClassVar[int]
    ALLOW_UNKNOWN_API_VERSION: ClassVar[bool]
    def build(self, request_struct_class: type[T]) -> T: ...
