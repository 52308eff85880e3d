"""Replays a loop's past through the running system, in steps of event time.

Two ordinary clients take turns: a Kafka producer sends the events of one step and a watermark, then a Triton client
requests the predictions with a decision time in the next step. No service knows about them.
"""
