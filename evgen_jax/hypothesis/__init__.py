"""What is fitted?"""
