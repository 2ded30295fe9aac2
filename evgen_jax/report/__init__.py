"""What do I look at?"""
