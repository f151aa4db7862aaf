"""A certificate authority of our own, which makes the emulator every host it emulates."""

import ssl
import threading
from pathlib import Path

import trustme


class Authority:
    """`ca` is the file that a client must trust; a second authority in the same folder is the same one."""

    def __init__(self, folder: Path) -> None:
        self.ca, key = folder / "ca.pem", folder / "ca.key"
        if key.exists():
            self.issuer = trustme.CA.from_pem(self.ca.read_bytes(), key.read_bytes())
        else:
            self.issuer = trustme.CA()
            self.issuer.cert_pem.write_to_path(self.ca)
            self.issuer.private_key_pem.write_to_path(key)
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        """For the server's side of a connection to this host."""
        with self.lock:
            if host not in self.contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self.issuer.issue_cert(host).configure_cert(context)
                self.contexts[host] = context
            return self.contexts[host]
