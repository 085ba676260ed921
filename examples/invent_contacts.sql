-- One invented contact per customer of `orders`; every property is drawn from the md5 of the key, so
-- that the same customers always get the same contacts. See invent.py.
with

customers as (
    select
        customer_key::varchar as customer_key,
        count(*) as lines
    from orders
    where customer_key is not null
    group by customer_key
),

people as (
    select
        customer_key,
        row_number() over (order by lines desc, customer_key) <= 3 as is_refused,
        row_number() over (order by md5(customer_key)) - 1 as place,
        [
            ('0x' || substr(md5(customer_key), 1 + 4 * n, 4))::integer
            for n in range(7)
        ] as dice,
        [
            ('0x' || substr(md5('birthday ' || customer_key), 1 + 4 * n, 4))::integer
            for n in range(2)
        ] as birthday_dice
    from customers
),

words as (
    select
        string_split(
            'Ada Alan Alice Anton Barbara Carl Clara Dennis Dorothy Edgar Edith Emmy Ernest Eva'
            ' Frances George Grace Hedy Henry Ida Isaac Jean John Karen Katherine Lise Louis'
            ' Margaret Marie Mary Max Niels Otto Radia Rosalind Sofia Stephen Thomas Tim Vera',
            ' '
        ) as first_names,
        string_split(
            'Abbot Baker Barrow Bright Brook Carter Chandler Cooper Dale Dyer Field Fisher Fletcher'
            ' Ford Forester Gardener Glover Hill Hunter Lake Mason Mead Miller Moor Parker Piper'
            ' Potter Reed Sadler Sawyer Shepherd Smith Stone Tanner Taylor Thatcher Turner Walker'
            ' Weaver Wood',
            ' '
        ) as last_names,
        string_split(
            '202 205 206 207 208 209 212 213 214 215 216 217 218 219 301 302 303 304 305 307 308'
            ' 309 310 312 313 314 315 316 317 318',
            ' '
        ) as american_areas,
        string_split('113 114 116 117 118 121 131 141 151 161', ' ') as british_areas
)

select
    people.customer_key,
    'customer-' || people.customer_key || case
        when people.is_refused then '@example.com'
        else '@shoppers.regulars.example'
    end as email,
    case $country
        when 'US' then
            '+1' || words.american_areas[1 + people.place // 100]
            || '55501' || lpad((people.place % 100)::varchar, 2, '0')
        when 'GB' then
            '+44' || words.british_areas[1 + people.place // 1000]
            || '4960' || lpad((people.place % 1000)::varchar, 3, '0')
    end as phone,
    words.first_names[1 + people.dice[1] % len(words.first_names)] as first_name,
    words.last_names[1 + people.dice[2] % len(words.last_names)] as last_name,
    $country as country,
    'en' as language,
    people.is_refused or people.dice[3] % 100 < 85 as has_email_consent,
    people.dice[4] % 100 < 60 as has_ads_consent,
    timestamp '2009-01-01 12:00:00' + to_days(people.dice[5] % 300) as consent_at,
    'invented for the demo' as consent_source,
    case
        when not people.is_refused and people.dice[6] % 100 = 0
            then ['unsubscribed', 'complained', 'cleaned'][1 + people.dice[7] % 3]
    end as suppressed_reason,
    case
        when people.birthday_dice[1] % 100 < 60
            then date '1940-01-01' + people.birthday_dice[2] % 24000
    end as birthday
from people
cross join words
order by people.customer_key
