"""Runs of a study handed to an experiment tracker, from the store alone: once, or as they end."""

from regjax.trackers.sending import TRACKERS, TrackerError, send

__all__ = ["TRACKERS", "TrackerError", "send"]
