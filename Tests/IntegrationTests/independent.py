"""The example's figures, computed without any code of OMS: standard library only.

Prints JSON: per tenant the rows and clicks of each policy and the two-sided p-value of the pooled two-proportion z-test.
"""
import csv, gzip, json, math, sys

result = {}
for tenant in ("men", "women"):
    arms = {}
    for policy in ("random", "bts"):
        with gzip.open(f"{sys.argv[1]}/{tenant}-{policy}.csv.gz", "rt", newline="") as file:
            rows = list(csv.DictReader(file))
        arms[policy] = {"rows": len(rows), "clicks": sum(int(row["click"]) for row in rows)}
    (n1, x1), (n2, x2) = ((arms[p]["rows"], arms[p]["clicks"]) for p in ("random", "bts"))
    pooled = (x1 + x2) / (n1 + n2)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    z = (x2 / n2 - x1 / n1) / error
    result[tenant] = {"arms": arms, "p": math.erfc(abs(z) / math.sqrt(2))}
print(json.dumps(result))
