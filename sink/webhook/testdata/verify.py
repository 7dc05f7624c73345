import base64, hashlib, hmac, time

def verify(headers, body, secret, tolerance=300):
    """Whether a request is from who has the secret, and fresh. Body is the bytes as they came."""
    id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > tolerance:
        return False
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    want = "v1," + base64.b64encode(mac.digest()).decode()
    return any(hmac.compare_digest(want, got) for got in headers["webhook-signature"].split())
