"""HTTP of work pools: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Work pools"], route_class=Route)
