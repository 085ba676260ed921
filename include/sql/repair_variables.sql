set variable repaired_at = $now::timestamp
