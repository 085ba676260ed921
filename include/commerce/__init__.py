"""What the shop sold, told to Mailchimp, whose own reports then show revenue per contact."""
