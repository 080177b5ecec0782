#!/usr/bin/env python3
"""Types into `chord chat` on a terminal: prompts, commands, Ctrl-C in an answer and at the prompt,
Ctrl-D. Called by tests/chat.sh.

  chat_terminal.py CHORD MODEL
"""
import os
import pty
import select
import signal
import sys
import time

PATIENCE = 60  # seconds


class Terminal:
    def __init__(self, *arguments):
        self.seen = b''
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execv(sys.argv[1], [sys.argv[1], 'chat', '-m', sys.argv[2], '--temp', '0', *arguments])

    def type(self, text):
        os.write(self.file, text)

    def read(self):
        """True if something came, False at the end."""
        if not select.select([self.file], [], [], PATIENCE)[0]:
            raise SystemExit('nothing came for %d s after %r' % (PATIENCE, self.seen[-200:]))
        try:
            more = os.read(self.file, 65536)
        except OSError:  # how Linux tells that the other side is closed
            return False
        self.seen += more
        return bool(more)

    def until(self, text):
        while text not in self.seen:
            if not self.read():
                raise SystemExit('the program left before %r: %r' % (text, self.seen[-200:]))
        at = self.seen.index(text) + len(text)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def anything(self):
        while not self.seen:
            if not self.read():
                raise SystemExit('the program left without an answer')

    def end(self):
        while self.read():
            pass
        return os.waitpid(self.pid, 0)[1]


def claim(name, holds, seen=b''):
    print('%s %s %r' % ('ok' if holds else 'FAIL', name, b'' if holds else seen[-300:]))
    if not holds:
        raise SystemExit(1)


def main():
    chat = Terminal('-n', '8')
    heading = chat.until(b'> ')
    claim('a heading tells the model and the help', b'/help' in heading and b'positions' in heading)
    chat.type(b'hello\n')
    chat.until(b'hello\r\n')
    answer = chat.until(b'\r\n> ')
    claim('an answer, then a prompt', len(answer) > 4, answer)
    chat.type(b'/help\n')
    claim('help', b'forget all' in chat.until(b'> '))
    chat.type(b'/quit\n')
    claim('/quit ends with status 0', chat.end() == 0, chat.seen)

    chat = Terminal('-n', '8')
    chat.until(b'> ')
    chat.type(b'\x04')
    claim('Ctrl-D ends with status 0', chat.end() == 0, chat.seen)

    # Answers that would go on for minutes: the tests' model knows no end.
    chat = Terminal('-c', '400000', '-v')
    chat.until(b'> ')
    chat.type(b'hello\n')
    chat.until(b'hello\r\n')
    chat.anything()
    chat.type(b'\x03')
    begun = time.time()
    chat.until(b'turn 1:')
    held = int(chat.until(b'> ').split(b'; ')[-1].split()[0])
    claim('Ctrl-C stops the answer', time.time() - begun < 20)
    chat.type(b'/help\n')
    chat.until(b'> ')
    chat.type(b'again\n')
    chat.until(b'again\r\n')
    chat.anything()
    chat.type(b'\x03')
    chat.until(b'turn 2:')
    more = int(chat.until(b'> ').split(b'; ')[-1].split()[0])
    claim('and keeps the chat', more > held)
    chat.type(b'\x03')
    status = chat.end()
    claim('Ctrl-C at the prompt leaves', os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT)


main()
