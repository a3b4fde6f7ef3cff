"""Annotations in the formats of other tools: AVATAR, COCO, CVAT for video and Label Studio.

All of them convert `Tree`, the frames of each clip, and list what a format cannot hold.
"""
