"""What would we see?"""
