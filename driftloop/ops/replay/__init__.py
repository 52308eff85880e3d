"""Replays a loop's past through the running system, in steps of event time.

Two ordinary clients take turns: a Kafka producer that sends the events of one step and a watermark, and a Triton
client that then asks for the predictions whose decision time falls into the next step. Neither is known to any service.
"""
