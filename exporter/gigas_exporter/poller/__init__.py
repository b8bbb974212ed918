"""Polls the API and keeps one immutable inventory per account.

It knows no metric and no web server; what counts polls is handed to it as a :class:`~.observer.PollerObserver`.
"""
