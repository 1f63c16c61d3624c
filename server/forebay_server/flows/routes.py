"""HTTP of flows: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Flows"], route_class=Route)
