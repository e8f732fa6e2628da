"""python.py KEY: see protocol.md. KEY is pymysql.json or dsn-python."""
import json
import sys

import pymysql
import sqlalchemy

KEY = sys.argv[1]
PATH = "/etc/dbpair/app/" + KEY


def connect():
    if KEY == "pymysql.json":
        return pymysql.connect(**json.load(open(PATH)), autocommit=True)
    engine = sqlalchemy.create_engine(open(PATH).read(), isolation_level="AUTOCOMMIT")
    return engine.raw_connection()


def run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return "ok" if row is None else "ok\t%s" % row[0]


def report(error):
    code = error.args[0] if error.args else ""
    text = str(error).replace("\t", " ").replace("\n", " ")
    return "error\t%s\t%s\t%s" % (code, type(error).__name__, text)


connection = None
line = "connect"
while line:
    try:
        if line == "connect":
            connection = connect()
            answer = "ok"
        else:
            answer = run(connection, line)
    except Exception as error:
        answer = report(error)
    print(answer, flush=True)
    line = sys.stdin.readline().rstrip("\n")
