"""Poll the API and keep one immutable inventory per account.

It knows neither metrics nor the web server, and reports its polls to a :class:`~.observer.PollerObserver`.
"""
