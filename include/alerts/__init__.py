"""Tell people when something begins to fail and when it works again: once each."""

from include.alerts.changes import Alerts, Trouble
from include.alerts.channels import CONNECTION, Channel, Message, open_channel

__all__ = ["CONNECTION", "Alerts", "Channel", "Message", "Trouble", "open_channel"]
