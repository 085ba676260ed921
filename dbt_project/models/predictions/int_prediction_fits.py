def model(dbt, session):
    from include.predictions.tables import prediction_fits

    return prediction_fits(
        dbt.ref("int_purchase_histories"),
        dbt.ref("int_order_days"),
        min_repeat_customers=dbt.config.meta_get("min_repeat_customers"),
        churn_days=dbt.config.meta_get("churn_days"),
    )
