"""Airflow and the sandbox on this machine: started, watched and stopped as a whole."""
