"""HTTP of workers: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Workers"], route_class=Route)
