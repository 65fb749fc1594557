"""A program that serves on a port of its own: echo.py PORT gives back what it gets, until somebody says `end`."""

import os
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
            if data == b"end":
                os._exit(0)


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Echo).serve_forever()
