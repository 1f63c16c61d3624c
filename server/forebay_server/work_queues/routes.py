"""HTTP of work queues: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Work queues"], route_class=Route)
