-- Run by the superuser in a fresh server before anybody connects; :names are filled in by run.ts.
CREATE ROLE app_rw LOGIN PASSWORD :app_password;
CREATE ROLE app_ro LOGIN PASSWORD :reader_password;
CREATE ROLE dba_owner LOGIN PASSWORD :dba_password;
CREATE DATABASE shop OWNER dba_owner;
CREATE DATABASE shop_copy OWNER dba_owner;
