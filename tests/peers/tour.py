"""A tour through one archive with Python's imaplib: argv is address, port, TLS mode, user, password, mechanism.

Prints one line for each thing that worked; whatever does not raises.
"""

import imaplib
import ssl
import sys
import threading

host, port, mode, user, password, mechanism = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def connect():
    if mode == "implicit":
        client = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=60)
    else:
        client = imaplib.IMAP4(host, int(port), timeout=60)
        assert "LOGINDISABLED" in client.capabilities
        client.starttls(context)
    if mechanism == "login-command":
        client.login(user, password)
    elif mechanism == "plain":
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
    else:
        answers = iter([user.encode(), password.encode()])
        client.authenticate("LOGIN", lambda _: next(answers))
    return client


client = connect()
status, folders = client.list()
assert status == "OK" and any(b"INBOX" in folder for folder in folders), folders
status, count = client.select("INBOX")
assert status == "OK", count
status, fetched = client.fetch("1", "(BODY[])")
print("held", fetched[0][1].decode().split("Subject: held by ")[1].splitlines()[0])

# A synchronizing literal, as imaplib sends it.
message = b"Subject: appended\r\n\r\n" + b"".join(b"line %d {7}\r\n" % n for n in range(2000))
assert client.append("INBOX", None, None, message)[0] == "OK"
status, found = client.search(None, "SUBJECT", "appended")
status, fetched = client.fetch(found[0].split()[-1], "(BODY[])")
assert fetched[0][1] == message, "what was appended comes back"
print("append synchronizing")

# A non-synchronizing one, which imaplib cannot.
assert any(name in ("LITERAL+", "LITERAL-") for name in client.capability()[1][0].decode().split())
client.send(b"X1 APPEND INBOX {%d+}\r\n" % len(message) + message + b"\r\n")
while True:
    line = client.readline()
    if line.startswith(b"X1 "):
        assert line.startswith(b"X1 OK"), line
        break
print("append non-synchronizing")

# IDLE, and a push through it.
client.send(b"X2 IDLE\r\n")
while not client.readline().startswith(b"+"):
    pass


def push():
    other = connect()
    assert other.append("INBOX", None, None, b"Subject: pushed\r\n\r\nnews\r\n")[0] == "OK"
    other.logout()


pusher = threading.Thread(target=push)
pusher.start()
while True:
    line = client.readline()
    assert line, "the connection has ended"
    if b" EXISTS" in line:
        break
client.send(b"DONE\r\n")
while not client.readline().startswith(b"X2 OK"):
    pass
pusher.join()
print("idle push")
client.logout()
