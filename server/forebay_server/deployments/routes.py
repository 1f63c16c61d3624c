"""HTTP of deployments: parse, call, return."""

from fastapi import APIRouter

from forebay_server.protocol import Route

router = APIRouter(tags=["Deployments"], route_class=Route)
