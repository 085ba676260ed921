def model(dbt, session):
    from include.joint_customers import joint_customers

    return joint_customers(
        dbt.ref("int_customer_categories"),
        dbt.ref("int_customer_history"),
        dbt.ref("int_category_shares"),
    )
