#!/usr/bin/env python3
"""An HTTP camera that shares no code with ours: Python's web server, FFmpeg's
pictures and FFmpeg's multipart muxer. It prints its address and serves /video
(Motion JPEG) and files of the folder --folder until its standard input ends."""

import argparse
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

arguments = argparse.ArgumentParser()
arguments.add_argument("--folder", default=".")
arguments.add_argument("--auth", choices=["", "basic", "digest"], default="")
arguments = arguments.parse_args()


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Camera(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=arguments.folder)

    def log_message(self, *args):
        pass

    def allowed(self):
        answer = self.headers.get("Authorization", "")
        if arguments.auth == "basic":
            return answer == "Basic dmlld2VyOnNlY3JldA=="
        if arguments.auth == "digest":
            p = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^", ]+))', answer)}
            if p.get("uri") != self.path or p.get("nonce") != "0123abcd":
                return False
            ha1, ha2 = md5("viewer:camera:secret"), md5(self.command + ":" + self.path)
            return p["response"] == md5(f"{ha1}:{p['nonce']}:{p['nc']}:{p['cnonce']}:{p['qop']}:{ha2}")
        return True

    def do_GET(self):
        if not self.allowed():
            self.send_response(401)
            challenge = 'Basic realm="camera"'
            if arguments.auth == "digest":
                challenge = 'Digest realm="camera", nonce="0123abcd", qop="auth", algorithm=MD5'
            self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/video":
            self.video()
        else:
            super().do_GET()

    def video(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=ffmpeg")
        self.end_headers()
        self.close_connection = True
        command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=50",
                   "-c:v", "mjpeg", "-threads", "1", "-flush_packets", "1", "-f", "mpjpeg", "pipe:1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ffmpeg:
            try:
                shutil.copyfileobj(ffmpeg.stdout, self.wfile, 1)
            except OSError:
                pass  # the viewer has gone
            ffmpeg.kill()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
sys.stdin.read()
os._exit(0)
