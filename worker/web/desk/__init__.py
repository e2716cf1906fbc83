"""The review desk: server-rendered pages under `/review`, for people who look at pictures all day."""
