"""Asks the API on a schedule and keeps one immutable inventory an account.

It knows no metric and no web server; what counts polls is handed to it as a :class:`~.observer.PollerObserver`.
"""
