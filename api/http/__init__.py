"""The HTTP service. `create_app(settings)` builds it; importing this package does nothing."""

from .application import create_app

__all__ = ["create_app"]
