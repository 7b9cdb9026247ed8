# Answers each request with what gunicorn has read of it: JSON, in hexadecimal digits, in the field X-Reading.
# Listens on the Unix socket that its argument names. Requests are read as gunicorn's own workers read them; a worker
# for applications would hide from them what was in the head.
import json
import socket
import sys
import threading

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser


def read(request):
    body = request.body.read()
    fields = [[name.lower(), value] for name, value in request.headers]
    lengths = [int(value) for name, value in fields if name == "content-length"]
    chunked = any(name == "transfer-encoding" for name, _ in fields)
    if lengths and not chunked and len(body) < lengths[0]:
        # At the end of a connection gunicorn leaves it to the application to notice.
        raise EOFError
    return {
        "method": request.method,
        "target": request.uri,
        "host": next((value for name, value in fields if name == "host"), ""),
        "fields": [field for field in fields if field[0] != "host"],
        "body": body.hex(),
    }


def serve(connection):
    with connection:
        try:
            for request in RequestParser(Config(), connection, ("127.0.0.1", 0)):
                text = json.dumps(read(request)).encode().hex()
                connection.sendall(f"HTTP/1.1 200 OK\r\nX-Reading: {text}\r\nContent-Length: 0\r\n\r\n".encode())
        except (EOFError, OSError, StopIteration):
            pass
        except Exception as refusal:
            if type(refusal).__name__ != "NoMoreData":
                try:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    pass


with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
