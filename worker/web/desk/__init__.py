"""The review desk: server-rendered pages under `/review`, for people who review pictures all day."""
