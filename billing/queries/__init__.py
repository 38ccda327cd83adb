"""What reads statements across rows, as plain values that a page, the API or a command can use.

``statements`` finds them, ``pages`` reads one with its explained lines, ``events`` what lies behind
a line, ``current`` the period that is still running, ``work`` what waits for finance.
"""
