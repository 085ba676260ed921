"""What Regulars does: plain Python that runs and is tested without Airflow."""
