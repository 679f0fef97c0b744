"""Lines of the access log of Swift's proxy, and of ours with log.access=swift."""

import re
import urllib.parse

FIELDS = ("client_ip remote_addr datetime method path protocol status_int referer user_agent auth_token "
          "bytes_recvd bytes_sent client_etag transaction_id headers request_time source log_info start_time "
          "end_time policy_index").split()


def access_lines(text):
    """Them as dictionaries: what stands before the fields (a logger's time and name) is left out."""
    found = []
    for line in text.splitlines():
        words = line.split(" ")
        # Swift's logger appends "(txn: ...)" where it knows a transaction.
        words = [word for word in words if not word.startswith("(txn:") and not word.endswith(")")] \
            if "(txn:" in line else words
        if len(words) < len(FIELDS):
            continue
        fields = dict(zip(FIELDS, words[-len(FIELDS):]))
        if re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}/\d\d/\d\d/\d\d", fields["datetime"]):
            found.append({name: urllib.parse.unquote(value) for name, value in fields.items()})
    return found
