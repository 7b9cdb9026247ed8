"""The functions that the Functions Framework's conformance client asks for: each writes what it was given to a file."""

import asyncio
import json

import functions_framework


def _write(value):
    with open("function_output.json", "w") as output:
        json.dump(value, output)


@functions_framework.http
def write_http(request):
    _write(request.json)
    return "OK", 200


@functions_framework.cloud_event
def write_cloud_event(event):
    _write(event.to_dict())


@functions_framework.http
async def wait_http(request):
    await asyncio.sleep(1)
    return "OK"


@functions_framework.cloud_event
async def wait_cloud_event(event):
    await asyncio.sleep(1)
