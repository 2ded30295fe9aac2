"""How likely is an event?"""
