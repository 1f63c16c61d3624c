"""HTTP of logs: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Logs"], route_class=Route)
