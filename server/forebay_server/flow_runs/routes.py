"""HTTP of flow runs: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Flow runs"], route_class=Route)
