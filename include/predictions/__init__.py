"""What customers will do next: purchase models fitted on grouped histories, scored, back-tested.

A customer's history is three numbers: repeat order days, the day of the last of them, the days
observed. Many customers share one, so that distinct histories with counts are all a fit needs.
"""
