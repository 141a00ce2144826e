"""What pins a file or a repository: its SHA-256, or a commit, in lower-case hexadecimal."""

import re

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


def check_sha256(digest: str) -> None:
    """Raise ValueError where `digest` is no SHA-256 in lower-case hexadecimal."""
    if not SHA256.fullmatch(digest):
        raise ValueError(f"sha256: {digest!r} must be 64 lower-case hexadecimal digits; sha256sum prints them")
